import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The next task of a consumer, by either order, and those that run, are found without reading all that wait. */
export class IndexNextTasks1766300000300 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE INDEX tasks_oldest_first ON portals.tasks (consumer, priority DESC, due_at) WHERE state IN ('waiting', 'running');
      CREATE INDEX tasks_newest_first ON portals.tasks (consumer, priority DESC, due_at DESC)
        WHERE state IN ('waiting', 'running');
      CREATE INDEX tasks_running ON portals.tasks (consumer, lease_until) WHERE state = 'running';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(
      'DROP INDEX portals.tasks_oldest_first, portals.tasks_newest_first, portals.tasks_running',
    );
  }
}
