"""Arrays of any library, float16 and linear algebra."""
