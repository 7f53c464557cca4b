"use strict";

// The document is asked for beside this page, so that it is found behind a path prefix too.
// No validator is named: the viewer's own default is a service outside.
window.ui = SwaggerUIBundle({
  url: "openapi.yaml",
  dom_id: "#contract",
  deepLinking: true,
  validatorUrl: null,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  defaultModelRendering: "example",
  displayRequestDuration: true,
  showExtensions: true,
});
