"""Photos of people, and what is known of them without a network of ours: below training and evaluation."""
