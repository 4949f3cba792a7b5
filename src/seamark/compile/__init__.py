"""Pure compilers: snapshot in, product out. Every decision about a Service is made here."""
