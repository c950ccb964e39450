import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CountLostLeases1766100000800 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE portals.tasks ADD COLUMN lost_leases int NOT NULL DEFAULT 0;
      COMMENT ON COLUMN portals.tasks.lost_leases IS
        'how often its process ended or stood still in the middle of it, without an end of the task between';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE portals.tasks DROP COLUMN lost_leases');
  }
}
