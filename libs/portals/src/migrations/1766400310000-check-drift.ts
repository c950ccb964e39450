import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Handlers of portals are compared daily with what is wanted, and those at former addresses are known as ours. */
export class CheckDrift1766400310000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE portals.handler_addresses (
        address text PRIMARY KEY,
        first_bound_at timestamptz NOT NULL DEFAULT clock_timestamp()
      );
      COMMENT ON TABLE portals.handler_addresses IS
        'every address that this installation ever bound handlers to: only those are unbound at portals';
      INSERT INTO portals.handler_addresses (address, first_bound_at)
        SELECT handler, min(bound_at) FROM portals.event_bindings WHERE state = 'bound' AND handler <> '' GROUP BY handler;

      CREATE TABLE portals.drift_checks (
        member_id text PRIMARY KEY REFERENCES portals.portals ON DELETE CASCADE,
        next_check_at timestamptz NOT NULL,
        checked_at timestamptz,
        missing int NOT NULL DEFAULT 0,
        surplus int NOT NULL DEFAULT 0,
        foreign_handlers int NOT NULL DEFAULT 0
      );
      COMMENT ON TABLE portals.drift_checks IS 'what the last comparison of a portal''s handlers found, before it was repaired';
      CREATE INDEX drift_checks_next_check_at ON portals.drift_checks (next_check_at);
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE portals.drift_checks, portals.handler_addresses');
  }
}
