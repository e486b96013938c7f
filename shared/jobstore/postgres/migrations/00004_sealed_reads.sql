-- Logins in the role sweepline_sealed see the rows of a tenant only with the seal of
-- its name, an HMAC-SHA256 by a key that they cannot read: whoever makes one of them
-- run SQL of their own choice has the seal of the tenant whose request it is, and can
-- make no other.

-- +goose Up
create table pipeline_read_keys (
    inner_pad bytea not null,
    outer_pad bytea not null
);
comment on table pipeline_read_keys is 'keys of seals, as HMAC takes them: a block of 64 bytes, combined with 0x36 and with 0x5c';
revoke all on pipeline_read_keys from public;

-- A seal that is wrong is an error and no empty answer, which would look like a tenant
-- that has no jobs.
-- +goose StatementBegin
create function pipeline_unsealed() returns text language plpgsql as $$
begin
    raise exception 'the tenant of this transaction is not sealed by a key that is known here'
        using errcode = 'insufficient_privilege', hint = 'DATABASE_READ_KEY must be what `sweepline migrate roles` was given.';
end $$;
-- +goose StatementEnd

-- The tenant that the transaction names, if it is sealed. It reads the keys as its
-- owner; its names are looked up now and not by the caller's search path.
-- +goose StatementBegin
create function pipeline_sealed_tenant() returns text
    language sql stable parallel safe security definer
begin atomic
    select case
        when coalesce(t, '') = '' then null
        when exists (select from pipeline_read_keys k
            where encode(sha256(k.outer_pad || sha256(k.inner_pad || convert_to(t, 'UTF8'))), 'hex') = current_setting('sweepline.seal', true)) then t
        else pipeline_unsealed()
    end
    from (select current_setting('sweepline.tenant', true)) as named (t);
end;
-- +goose StatementEnd

-- +goose Down
drop function pipeline_sealed_tenant cascade; -- with the policies that ask it
drop function pipeline_unsealed;
drop table pipeline_read_keys;
