-- One row per write, found by position or by the range of event times; what is in the payload is
-- ml-service's. A position is never used twice, not even after the newest segment was removed.
CREATE TABLE segments (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    view TEXT NOT NULL,
    event_min_us INTEGER NOT NULL,
    event_max_us INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    payload BLOB NOT NULL,
    CHECK (event_min_us <= event_max_us)
) STRICT;

-- By position within a view, so that a page of segments costs a page; the times are there to pass
-- over what lies outside a range without opening it.
CREATE INDEX segments_view ON segments (tenant, view, position, event_max_us, event_min_us);

-- What a check writes.
CREATE TABLE health (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    checks INTEGER NOT NULL
) STRICT;

INSERT INTO health (id, checks) VALUES (1, 0);
