"""``python -m workers doctor``: is everything that the system needs there, and as it should be?

`command` says what is looked at and shows what was found, `looking` gives each look its time, and the modules beside
them look: `programs` at settings and servers, `kafka` at brokers and topics, `bridges` at lag and dead letters,
`redis_server` and `store` at theirs.
Nothing stays behind in any service.
"""
