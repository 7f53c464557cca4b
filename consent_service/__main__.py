"""`python -m consent_service` is the program `consent-service`."""

from consent_service.cli import main

if __name__ == "__main__":
    main()
