import type { MigrationInterface, QueryRunner } from 'typeorm';

export class BoundExchanges1766100000310 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE portals.exchange_budget (
        id boolean PRIMARY KEY DEFAULT true CHECK (id),
        burst float8 NOT NULL,
        stock float8 NOT NULL,
        filled_at timestamptz NOT NULL
      ) WITH (fillfactor = 50);
      INSERT INTO portals.exchange_budget (burst, stock, filled_at) VALUES (0, 0, now() - interval '1 day');
      COMMENT ON TABLE portals.exchange_budget IS 'one token bucket of all OAuth exchanges that claims cause: over a second, and over hours';

      CREATE TABLE portals.claim_exchanges (
        proof_hash bytea PRIMARY KEY CHECK (octet_length(proof_hash) = 32),
        source bytea NOT NULL CHECK (octet_length(source) = 32),
        refused boolean NOT NULL DEFAULT false,
        begun_at timestamptz NOT NULL DEFAULT clock_timestamp()
      );
      CREATE INDEX claim_exchanges_source ON portals.claim_exchanges (source, begun_at);
      COMMENT ON TABLE portals.claim_exchanges IS 'of the last hour; source: hash of what is counted together, such as an address';

      ALTER TABLE portals.pending_installs ADD COLUMN source bytea;
      COMMENT ON COLUMN portals.pending_installs.source IS 'as in claim_exchanges; null: counted by itself';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE portals.pending_installs DROP COLUMN source;
      DROP TABLE portals.claim_exchanges, portals.exchange_budget;
    `);
  }
}
