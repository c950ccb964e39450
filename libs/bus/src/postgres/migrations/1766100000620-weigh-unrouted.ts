import type { MigrationInterface, QueryRunner } from 'typeorm';

export class WeighUnrouted1766100000620 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE bus.unrouted ADD COLUMN bytes integer GENERATED ALWAYS AS (octet_length(content::text)) STORED;
      COMMENT ON TABLE bus.unrouted IS 'events that nobody subscribes to, the latest 10,000, and of those the latest 16 MB';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE bus.unrouted DROP COLUMN bytes');
  }
}
