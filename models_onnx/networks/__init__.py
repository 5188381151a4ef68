"""Networks as torch modules, and the form in which they answer."""
