import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateLeaderLeases1766200000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE SCHEMA platform;
      CREATE TABLE platform.leader_leases (
        name text PRIMARY KEY,
        holder uuid NOT NULL,
        term bigint NOT NULL,
        expires_at timestamptz NOT NULL
      );
      COMMENT ON TABLE platform.leader_leases IS 'which process leads a task that one process of all does, such as the sweeps of the control plane';
      COMMENT ON COLUMN platform.leader_leases.term IS 'the fencing token, which increases with every change of the leader';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP SCHEMA platform CASCADE');
  }
}
