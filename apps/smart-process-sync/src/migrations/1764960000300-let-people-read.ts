import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * `mirror_reader`, a role without a login that reads the mirror and nothing else: readers become members of it
 * (docs/mirror.md). Roles belong to the whole server, so it may exist already; if the user of the migrations may not
 * create roles, an operator does.
 */
export class LetPeopleRead1764960000300 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DO $$ BEGIN
        CREATE ROLE mirror_reader NOLOGIN;
      EXCEPTION WHEN duplicate_object OR unique_violation OR insufficient_privilege THEN NULL;
      END $$;

      DO $$ BEGIN
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'mirror_reader') THEN
          GRANT USAGE ON SCHEMA mirror TO mirror_reader;
          GRANT SELECT ON ALL TABLES IN SCHEMA mirror TO mirror_reader;
          ALTER DEFAULT PRIVILEGES IN SCHEMA mirror GRANT SELECT ON TABLES TO mirror_reader;
        END IF;
      END $$;
    `);
  }

  /** The role stays: other databases of the server may use it. */
  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DO $$ BEGIN
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'mirror_reader') THEN
          ALTER DEFAULT PRIVILEGES IN SCHEMA mirror REVOKE SELECT ON TABLES FROM mirror_reader;
          REVOKE SELECT ON ALL TABLES IN SCHEMA mirror FROM mirror_reader;
          REVOKE USAGE ON SCHEMA mirror FROM mirror_reader;
        END IF;
      END $$;
    `);
  }
}
