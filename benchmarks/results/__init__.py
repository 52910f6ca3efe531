"""The results page: every model measured on the validation cases, its numbers as JSON, page and pictures from them."""
