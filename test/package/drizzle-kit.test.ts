import { execFile } from 'node:child_process'
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { drizzle } from 'drizzle-orm/mysql2'
import { migrate } from 'drizzle-orm/mysql2/migrator'
import { MySQLAdapter } from 'goscope-mysql'
import { beforeEach, describe, expect, it } from 'vitest'
import { onEveryServer } from '../support/every-server.js'
import { createLegacyTables } from '../support/legacy-tables.js'
import { countStatements } from '../support/statements.js'

const folder = fileURLToPath(new URL('../..', import.meta.url))
const migrations = join(folder, 'drizzle')
const tableNames = ['go_goscope_cache', 'go_goscope_checkpoints', 'go_goscope_circuit', 'go_goscope_locks']

/** Runs drizzle-kit, which cannot ask anything back. Resolves to all it prints, whether it fails or not. */
async function drizzleKit(
  databaseUrl: string | undefined,
  ...words: string[]
): Promise<{ ok: boolean; output: string }> {
  const { DATABASE_URL: _, ...environment } = process.env
  const running = promisify(execFile)(process.execPath, ['node_modules/drizzle-kit/bin.cjs', ...words], {
    cwd: folder,
    env: { ...environment, ...(databaseUrl !== undefined && { DATABASE_URL: databaseUrl }) },
  })
  running.child.stdin?.end()
  return running.then(
    ({ stdout, stderr }) => ({ ok: true, output: stdout + stderr }),
    ({ stdout, stderr }) => ({ ok: false, output: stdout + stderr }),
  )
}

/** All files of a folder with their content. */
async function contentOf(path: string): Promise<Record<string, string>> {
  const names = await readdir(path, { recursive: true, withFileTypes: true })
  const files = names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  return Object.fromEntries(
    await Promise.all(files.map(async (file) => [file.slice(path.length), await readFile(file, 'utf8')])),
  )
}

describe('drizzle.config.ts', () => {
  it.each([undefined, ''])('asks for DATABASE_URL when it is %j', async (url) => {
    const { ok, output } = await drizzleKit(url, 'push')
    expect(ok).toBe(false)
    expect(output).toContain('Set DATABASE_URL, for example DATABASE_URL=mysql://')
  })
})

describe('drizzle/', () => {
  it('holds all there is to generate from the schema', async () => {
    // Inside the package, because drizzle-kit takes the path for a relative one.
    const copy = await mkdtemp(join(folder, '.scratch-drizzle-'))
    try {
      await cp(migrations, copy, { recursive: true })
      const words = ['--dialect', 'mysql', '--schema', './src/schema/index.ts', '--out', copy.slice(folder.length)]
      const { ok, output } = await drizzleKit(undefined, 'generate', ...words)
      expect(output).toContain('No schema changes')
      expect(ok).toBe(true)
      expect(await contentOf(copy)).toEqual(await contentOf(migrations))
    } finally {
      await rm(copy, { recursive: true })
    }
  })

  it('is consistent', async () => {
    const { ok, output } = await drizzleKit(undefined, 'check')
    expect(output).toContain("Everything's fine")
    expect(ok).toBe(true)
  })
})

onEveryServer('drizzle-kit', (context) => {
  beforeEach(async () => {
    for (const name of [...tableNames, 'neighbour', '__drizzle_migrations']) {
      await context.admin.query(`drop table if exists ${name}`)
    }
    await context.admin.query(`alter database ${context.database} character set utf8mb4`)
  })

  const verify = () => new MySQLAdapter(context.pool(), { createTables: false }).connect()

  async function definitions(): Promise<string[]> {
    const found: string[] = []
    for (const name of tableNames) {
      const [rows] = await context.admin.query(`show create table ${name}`)
      found.push((rows as { 'Create Table': string }[])[0]?.['Create Table'] ?? '')
    }
    return found
  }

  it.each(['utf8mb4', 'latin1'])('migrations give a %s database what connect() wants', async (charset) => {
    await context.admin.query(`alter database ${context.database} character set ${charset}`)
    await migrate(drizzle(context.pool()), { migrationsFolder: migrations })
    await verify()
    const state = new MySQLAdapter(context.pool())
    expect(await state.acquire('key', 1_000)).not.toBeNull()
  })

  it('push creates the tables, connect() completes them, and a second push changes nothing', async () => {
    await context.admin.query('create table neighbour (id int primary key)')
    const first = await drizzleKit(context.url, 'push', '--force')
    expect(first.output).toContain('Changes applied')
    expect(first.ok).toBe(true)

    const pool = context.pool({ connectionLimit: 1 })
    const state = new MySQLAdapter(pool)
    await state.connect()
    await verify()
    await state.set('key', 'kept')
    const completed = await definitions()

    const second = await drizzleKit(context.url, 'push', '--force')
    if (context.server.family === 'mysql') {
      expect(second.output).toContain('No changes detected')
      expect(second.ok).toBe(true)
    } else {
      // drizzle-kit does not find the primary keys of a MariaDB, and fails to add them.
      expect(second.output).toContain('Multiple primary key defined')
    }
    expect(await definitions()).toEqual(completed)
    expect(await state.get('key')).toBe('kept')
    await state.connect()
    expect(await countStatements(pool, () => state.connect())).toBe(1)
    // Tables of others are none of its business.
    expect((await context.admin.query('select * from neighbour'))[0]).toEqual([])
  })

  if (context.server.family === 'mysql') {
    it('push finds nothing to do after connect(), after an upgrade, and after the migrations', async () => {
      const expectNothingToDo = async () => {
        const { output } = await drizzleKit(context.url, 'push', '--force')
        expect(output).toContain('No changes detected')
        await verify()
        for (const name of tableNames) await context.admin.query(`drop table ${name}`)
      }
      await new MySQLAdapter(context.pool()).connect()
      await expectNothingToDo()
      await createLegacyTables(context.admin)
      await new MySQLAdapter(context.pool()).connect()
      await expectNothingToDo()
      await migrate(drizzle(context.pool()), { migrationsFolder: migrations })
      await expectNothingToDo()
    })
  }
})
