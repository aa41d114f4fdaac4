"""What tests share: made-up observations and archives, imitations of services, faults."""
