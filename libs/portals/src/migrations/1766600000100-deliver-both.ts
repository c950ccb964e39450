import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Portals deliver online and by their offline queue, unless somebody sets another mode: docs/adr/0039-both-is-the-default.md. Those that there
 * are, too: no released version could set a mode.
 */
export class DeliverBoth1766600000100 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE portals.portals ALTER COLUMN delivery_mode SET DEFAULT 'both';
      UPDATE portals.portals SET delivery_mode = 'both' WHERE delivery_mode = 'online';
    `);
  }

  /** The version before knows the mode of the rows. */
  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE portals.portals ALTER COLUMN delivery_mode SET DEFAULT 'online'`);
  }
}
