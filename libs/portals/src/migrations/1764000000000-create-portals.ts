import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreatePortals1764000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE SCHEMA portals;

      CREATE TABLE portals.portals (
        member_id text PRIMARY KEY,
        domain text NOT NULL,
        client_endpoint text NOT NULL CHECK (client_endpoint LIKE 'http%/'),
        state text NOT NULL CHECK (state IN ('installed', 'needs-reauth', 'uninstalled')),
        scope text[] NOT NULL DEFAULT '{}',
        status text NOT NULL DEFAULT '',
        installed_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now()
      );

      CREATE TABLE portals.credentials (
        member_id text PRIMARY KEY REFERENCES portals.portals ON DELETE CASCADE,
        kind text NOT NULL CHECK (kind IN ('oauth', 'webhook')),
        access_token text,
        refresh_token text,
        webhook_url text,
        expires_at timestamptz,
        updated_at timestamptz NOT NULL DEFAULT now(),
        CHECK (num_nonnulls(access_token, refresh_token, expires_at) = CASE kind WHEN 'oauth' THEN 3 ELSE 0 END),
        CHECK (num_nonnulls(webhook_url) = CASE kind WHEN 'webhook' THEN 1 ELSE 0 END)
      );
      COMMENT ON TABLE portals.credentials IS 'tokens and webhook_url are sealed: v1:<key id>:<AES-256-GCM>';

      CREATE TABLE portals.application_tokens (
        member_id text NOT NULL REFERENCES portals.portals ON DELETE CASCADE,
        hash bytea NOT NULL CHECK (octet_length(hash) = 32),
        kind text NOT NULL CHECK (kind IN ('app', 'webhook')),
        added_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (member_id, hash)
      );

      CREATE TABLE portals.pending_installs (
        member_id text NOT NULL,
        proof_hash bytea NOT NULL CHECK (octet_length(proof_hash) = 32),
        sealed_claim text NOT NULL,
        tries int NOT NULL DEFAULT 0,
        next_try_at timestamptz NOT NULL,
        kept_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (member_id, proof_hash)
      );
      CREATE INDEX pending_installs_due ON portals.pending_installs (next_try_at);

      CREATE TABLE portals.subscriptions (
        consumer text NOT NULL,
        name text NOT NULL,
        PRIMARY KEY (consumer, name)
      );

      CREATE TABLE portals.event_bindings (
        member_id text NOT NULL REFERENCES portals.portals ON DELETE CASCADE,
        name text NOT NULL,
        state text NOT NULL CHECK (state IN ('bound', 'unknown-event')),
        bound_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (member_id, name)
      );
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP TABLE portals.event_bindings, portals.subscriptions, portals.pending_installs,
        portals.application_tokens, portals.credentials, portals.portals;
      DROP SCHEMA portals;
    `);
  }
}
