import type { MigrationInterface, QueryRunner } from 'typeorm';

export class OrderByPriority1766300000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE portals.tasks ADD COLUMN priority int NOT NULL DEFAULT 0,
        ADD COLUMN restart boolean NOT NULL DEFAULT false;
      COMMENT ON COLUMN portals.tasks.priority IS
        'the higher is taken first; 1: somebody waits for it, or events are lost until it is done';
      COMMENT ON COLUMN portals.tasks.restart IS
        'somebody asked for it again while it was running and waits: it starts anew without its end';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE portals.tasks DROP COLUMN priority, DROP COLUMN restart');
  }
}
