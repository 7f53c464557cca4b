"""Tests of agreements between the service and openapi.yaml."""
