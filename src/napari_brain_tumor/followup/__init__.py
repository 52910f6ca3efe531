"""Follow-up of one patient: examinations are registered, lesions matched, sizes compared and the response assessed."""
