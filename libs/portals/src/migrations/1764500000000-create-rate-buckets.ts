import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateRateBuckets1764500000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE portals.rate_buckets (
        member_id text PRIMARY KEY REFERENCES portals.portals ON DELETE CASCADE,
        full_until timestamptz NOT NULL
      ) WITH (fillfactor = 50);
      COMMENT ON COLUMN portals.rate_buckets.full_until IS 'When the bucket is empty again, if no further request comes';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE portals.rate_buckets');
  }
}
