"""Model families and the VAE they are put into."""
