"""Problems to try: the real demo that comes with the package, and made ones."""
