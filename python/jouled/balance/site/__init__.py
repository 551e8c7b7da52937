"""How a site keeps within what its plant and its contract give: pure, told the time, and the state it was in."""
