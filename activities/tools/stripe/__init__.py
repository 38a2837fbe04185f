"""The payment tools, over Stripe."""
