-- What the sign-up application keeps. Run it once: psql "$DATABASE_URL" -f schema.sql

-- How far a sign-up has come. The order counts: a sign-up goes on from one to a later one and never back, whichever node
-- tells of it and however often, so news that is old or known changes nothing.
create type standing as enum (
    'requested',   -- written down here before a node was asked
    'pending',     -- a node has it, and it is not final
    'reserved',    -- the names are this person's, until the address is verified or the reservation ends
    'active',      -- the names are this person's
    'unavailable', -- somebody else has one of the names, so none is held: another one is needed
    'ended'        -- the names were this person's and are no longer
);

create table account (
    owner uuid primary key,
    display_name text not null,
    -- The attempt that counts. Another attempt, with other names, is another registration.
    registration uuid not null unique,
    username text not null,
    email text,
    standing standing not null default 'requested',
    -- What is in the link that verifies the address.
    secret uuid unique,
    asked_at timestamptz not null default now()
);

create index account_requested on account (asked_at) where standing = 'requested';

-- How far each node's event feed has been applied. Every node has a feed of its own, with cursors of its own.
create table feed (
    source text primary key,
    cursor text not null
);

-- What people are to be told, once for each thing (an outbox). Something that sends mail takes what has no sent_at.
create table mail (
    id bigint generated always as identity primary key,
    owner uuid not null references account,
    registration uuid not null,
    about standing not null,
    address text, -- none: it is shown at the next log-in and nowhere else
    body text not null,
    link text,
    sent_at timestamptz,
    unique (registration, about)
);
