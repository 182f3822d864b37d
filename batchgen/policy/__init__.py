"""What came back, what it means, what happens next: pure decisions."""
