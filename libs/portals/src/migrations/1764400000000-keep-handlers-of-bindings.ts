import type { MigrationInterface, QueryRunner } from 'typeorm';

export class KeepHandlersOfBindings1764400000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE portals.event_bindings ADD COLUMN handler text NOT NULL DEFAULT '';
      COMMENT ON COLUMN portals.event_bindings.handler IS 'address that was bound; empty: bound before it was kept';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE portals.event_bindings DROP COLUMN handler');
  }
}
