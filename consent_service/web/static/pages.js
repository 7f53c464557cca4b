// Small comforts of every page; each works without them.
"use strict";

// The chooser of languages closes when one looks elsewhere.
const chooser = document.querySelector("details.language");
if (chooser) {
  document.addEventListener("click", (event) => {
    if (!chooser.contains(event.target)) chooser.open = false;
  });
  chooser.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !chooser.open) return;
    chooser.open = false;
    chooser.querySelector("summary").focus();
  });
}

// What is wrong, or what was done, is where one goes on from: after a form, a reader starts there.
const said = document.querySelector(".message.wrong, .message.done[role=status]");
if (said) {
  said.tabIndex = -1;
  said.focus({ preventScroll: said.getBoundingClientRect().bottom < innerHeight });
}
