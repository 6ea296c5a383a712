"""A written program meets the state of its step, is compared with the step, and recorded anew from time to time."""
