"""The results page: measure every model on the validation cases, store the numbers as JSON, and render the page."""
