import type { MigrationInterface, QueryRunner } from 'typeorm';

export class LeaseShards1766100000610 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE bus.shard_leases (
        consumer text NOT NULL,
        shard smallint NOT NULL,
        pid integer NOT NULL,
        backend_start timestamptz NOT NULL,
        role oid NOT NULL,
        expires_at timestamptz NOT NULL,
        PRIMARY KEY (consumer, shard)
      );
      COMMENT ON TABLE bus.shard_leases IS 'who serves a shard of a consumer: the session of this pid and start, for as long as it is there and renews its lease';

      CREATE TABLE bus.operator_turns (name text PRIMARY KEY);
      COMMENT ON TABLE bus.operator_turns IS 'what operators take turns on: a row that is not committed is the turn, so the table looks empty';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE bus.operator_turns, bus.shard_leases');
  }
}
