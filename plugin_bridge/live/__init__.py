"""From a sound card, or a file at its own pace, to a sound card."""
