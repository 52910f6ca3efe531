"""Several examinations of one patient: registered, matched, compared, and what they tell of the response."""
