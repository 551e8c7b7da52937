"""The balancer at work: it asks the plant and the loads, lets the rules decide, and acts."""
