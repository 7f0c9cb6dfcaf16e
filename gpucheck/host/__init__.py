"""The only code that touches the machine: live, recording and replay behind one seam."""
