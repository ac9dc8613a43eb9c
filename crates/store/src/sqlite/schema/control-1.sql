-- Times are microseconds since 1970 (UTC). Every key begins with the tenant, so that a statement
-- that forgets it does not find its row quickly either.

CREATE TABLE api_keys (
    id TEXT NOT NULL PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    tenant TEXT NOT NULL,
    role TEXT NOT NULL,
    name TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    expires_us INTEGER,
    revoked_us INTEGER
) STRICT;

CREATE TABLE verifications (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    -- JSON of domain::Order
    work TEXT NOT NULL,
    idempotency_key TEXT,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed')),
    attempts INTEGER NOT NULL DEFAULT 0,
    created_us INTEGER NOT NULL,
    started_us INTEGER,
    finished_us INTEGER,
    lease_token TEXT,
    lease_until_us INTEGER,
    -- JSON of domain::Summary
    summary TEXT,
    failure TEXT,
    PRIMARY KEY (tenant, id),
    CHECK ((state = 'running') = (lease_token IS NOT NULL)),
    CHECK ((state = 'running') = (lease_until_us IS NOT NULL))
) STRICT;

CREATE UNIQUE INDEX verifications_idempotency ON verifications (tenant, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX verifications_state ON verifications (tenant, state, id);
CREATE INDEX verifications_artifact ON verifications (tenant, sha256);
CREATE INDEX verifications_lease ON verifications (tenant, lease_until_us) WHERE state = 'running';
CREATE INDEX verifications_waiting ON verifications (created_us) WHERE state = 'queued';

CREATE TABLE reports (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    report BLOB NOT NULL,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, id) REFERENCES verifications (tenant, id) ON DELETE CASCADE
) STRICT;

-- How much of each tenant's work is unfinished, kept by the triggers below: a claim and a limit look
-- at one row per tenant and not at the queue. `turn` grows with every claim.
CREATE TABLE queues (
    tenant TEXT NOT NULL PRIMARY KEY,
    queued INTEGER NOT NULL CHECK (queued >= 0),
    running INTEGER NOT NULL CHECK (running >= 0),
    turn INTEGER NOT NULL
) STRICT;

CREATE TRIGGER verifications_inserted AFTER INSERT ON verifications BEGIN
    INSERT INTO queues (tenant, queued, running, turn)
        VALUES (new.tenant, new.state = 'queued', new.state = 'running', 0)
        ON CONFLICT (tenant) DO UPDATE
        SET queued = queued + excluded.queued, running = running + excluded.running;
END;

CREATE TRIGGER verifications_moved AFTER UPDATE OF state ON verifications BEGIN
    UPDATE queues
        SET queued = queued + (new.state = 'queued') - (old.state = 'queued'),
            running = running + (new.state = 'running') - (old.state = 'running')
        WHERE tenant = new.tenant;
END;

CREATE TRIGGER verifications_deleted AFTER DELETE ON verifications BEGIN
    UPDATE queues
        SET queued = queued - (old.state = 'queued'),
            running = running - (old.state = 'running')
        WHERE tenant = old.tenant;
END;

CREATE TABLE sessions (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    session BLOB NOT NULL,
    touched_us INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT;

CREATE INDEX sessions_touched ON sessions (touched_us);

CREATE TABLE profiles (
    tenant TEXT NOT NULL,
    subject TEXT NOT NULL,
    profile BLOB NOT NULL,
    touched_us INTEGER NOT NULL,
    PRIMARY KEY (tenant, subject)
) STRICT;

-- What a check writes.
CREATE TABLE health (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    checks INTEGER NOT NULL
) STRICT;

INSERT INTO health (id, checks) VALUES (1, 0);
