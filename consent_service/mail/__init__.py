"""Mail that the service itself sends to its customers: links, and questions whether they meant it."""
