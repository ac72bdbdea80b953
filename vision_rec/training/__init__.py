"""Training: data, losses, plain loops; torch is imported here and in the encoders only."""
