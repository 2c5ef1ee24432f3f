"""Pretraining of `sd_nano`, Stable Diffusion at nano size, on captioned icons: autoencoder, then the rest."""
