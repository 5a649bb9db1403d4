"""What the service promises about personal data, as behaviour: who saw it, what for, how long, what people asked for.

Rules of how data is stored belong to `backend.store` and `backend.registry`, who somebody is to `backend.accounts`.
"""
