import type { MigrationInterface, QueryRunner } from 'typeorm';

/** How much consumers have put right, for the page inside the portal. */
export class CountCorrections1766400700000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE portals.correction_counts (
        member_id text NOT NULL REFERENCES portals.portals ON DELETE CASCADE,
        consumer text NOT NULL,
        day date NOT NULL,
        count int NOT NULL,
        PRIMARY KEY (member_id, consumer, day)
      ) WITH (fillfactor = 70);
      COMMENT ON TABLE portals.correction_counts IS 'by day (UTC); days of more than a month ago are deleted';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE portals.correction_counts');
  }
}
