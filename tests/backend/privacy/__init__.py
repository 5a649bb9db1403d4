"""What the service does about personal data by itself."""
