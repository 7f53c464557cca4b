"""What waits until a person has confirmed it from their own mailbox: something louder, or a new address."""
