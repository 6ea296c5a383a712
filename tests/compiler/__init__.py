"""Tests of compiled steps, a file for each folder of autodiff/compiler or for what users ask of it."""
