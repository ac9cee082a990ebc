import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createPool } from 'mysql2/promise'
import { publint } from 'publint'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'

const folder = fileURLToPath(new URL('../..', import.meta.url))

/** What a service would write; `load` is how it gets at the package. */
const program = (load: string) => `${load}
import type { LockHandle, Database } from 'goscope-mysql'

async function main(): Promise<void> {
  const database = createPool({ uri: process.env['DATABASE_URL'] ?? '' })
  const state = new MySQLAdapter(database satisfies Database, { keyPrefix: 'packed:', endPool: true })
  await state.connect()
  const lock: LockHandle | null = await state.acquire('lock', 10_000)
  await lock?.release()
  await state.set('value', { list: [1, null] })
  const value = await state.get<{ list: (number | null)[] }>('value')
  const failures: number = await state.recordFailure('circuit', 3)
  await state.save({ id: 'c', taskId: 't', sequence: 1, timestamp: 1, progress: 1, data: 'saved' })
  const latest = await state.loadLatest<string>('t')
  const listed = await state.list('t')
  const loaded = await state.load<string>('c')
  await state.cleanup('t', 1)
  const keys = await state.keys('v*')
  const outcomes = new MySQLIdempotencyAdapter(drizzle(database))
  await outcomes.set('outcome', [new Error('failed'), undefined], 60_000)
  const outcome = await outcomes.get<[Error, undefined]>('outcome')
  await outcomes.disconnect()
  let refused = false
  try {
    await state.set('value', 1, -1)
  } catch (error) {
    refused = error instanceof InvalidArgumentError && error.code === 'INVALID_ARGUMENT'
  }
  await state.deleteAll('t')
  await state.clear()
  await state.setState('circuit', { state: 'closed', failureCount: 0 })
  await state.disconnect()
  console.log(JSON.stringify({
    fence: (lock?.fence ?? 0) > 0, value, failures, latest: latest?.data, listed: listed.length, loaded: loaded?.data, keys,
    outcome: outcome?.value[0].message, refused, columns: Object.keys(cache).includes('expiresAt'),
    name: description.name, isConnected: state.isConnected(),
  }))
}
main().catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
`

const byImport = program(`
import { drizzle } from 'drizzle-orm/mysql2'
import { InvalidArgumentError, MySQLAdapter, MySQLIdempotencyAdapter } from 'goscope-mysql'
import description from 'goscope-mysql/package.json' with { type: 'json' }
import { cache } from 'goscope-mysql/schema'
import { createPool } from 'mysql2/promise'`)

const byRequire = program(`
import goscope = require('goscope-mysql')
import schema = require('goscope-mysql/schema')
import description = require('goscope-mysql/package.json')
import { drizzle } from 'drizzle-orm/mysql2'
import { createPool } from 'mysql2/promise'
const { InvalidArgumentError, MySQLAdapter, MySQLIdempotencyAdapter } = goscope
const { cache } = schema`)

const expected = {
  fence: true,
  value: { list: [1, null] },
  failures: 1,
  latest: 'saved',
  listed: 1,
  loaded: 'saved',
  keys: ['value'],
  outcome: 'failed',
  refused: true,
  columns: true,
  name: 'goscope-mysql',
  isConnected: false,
}

/** Runs a program and resolves to what it prints; what it prints is in the error, too, should it fail. */
async function output(
  command: string,
  words: string[],
  options: { cwd: string; env?: NodeJS.ProcessEnv },
): Promise<string> {
  const running = promisify(execFile)(command, words, options)
  running.child.stdin?.end()
  const { stdout } = await running.catch((error: { stdout: string; stderr: string }) => {
    throw new Error(`${command} ${words.join(' ')} failed:\n${error.stdout}\n${error.stderr}`)
  })
  return stdout
}

describe('the package', () => {
  const [server] = inject('servers')
  const database = `goscope_test_${randomBytes(6).toString('hex')}`
  let temporary: string
  let tarball: string
  let files: string[]
  let locked: Record<string, { version: string }>

  beforeAll(async () => {
    if (server === undefined) throw new Error('expected a server to run the programs on, found none')
    temporary = await mkdtemp(join(tmpdir(), 'goscope-package-'))
    const packed = await output('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', temporary], {
      cwd: folder,
    })
    const [description] = JSON.parse(packed) as { filename: string; files: { path: string }[] }[]
    if (description === undefined) throw new Error('npm packed nothing')
    tarball = join(temporary, description.filename)
    files = description.files.map(({ path }) => path)
    locked = JSON.parse(await readFile(join(folder, 'package-lock.json'), 'utf8')).packages
    const root = createPool({ uri: server.url })
    await root.query(`create database ${database}`)
    await root.end()
  })

  afterAll(async () => {
    const root = createPool({ uri: server?.url ?? '' })
    await root.query(`drop database if exists ${database}`)
    await root.end()
    await rm(temporary, { recursive: true, force: true })
  })

  it('holds the code, its types and sources, the migrations, and nothing else', () => {
    for (const file of ['package.json', 'dist/index.js', 'dist/index.d.ts', 'dist/schema/index.js', 'src/index.ts']) {
      expect(files).toContain(file)
    }
    expect(files.filter((file) => /^drizzle\/\d+_\w+\.sql$/.test(file)).length).toBeGreaterThan(0)
    expect(files).toContain('drizzle/meta/_journal.json')
    const others = files.filter((file) => !/^(dist|drizzle|src)\/|^(package\.json|[A-Z]+(\.md)?)$/.test(file))
    expect(others).toEqual([])
  })

  it('gives publint nothing to say', async () => {
    const { messages } = await publint({ pkgDir: folder, strict: true, pack: 'npm' })
    expect(messages).toEqual([])
  })

  it('gives every resolver of ES modules its types', async () => {
    const words = [
      'node_modules/@arethetypeswrong/cli/dist/index.js',
      tarball,
      '--profile',
      'esm-only',
      '--format',
      'json',
    ]
    const { problems } = JSON.parse(await output(process.execPath, words, { cwd: folder })) as {
      problems: Record<string, { resolutionKind?: string }[]>
    }
    // What the profile leaves out: resolvers that know no `exports`, and the types of `require`.
    const relevant = Object.values(problems)
      .flat()
      .filter(({ resolutionKind }) => !['node10', 'node16-cjs'].includes(resolutionKind ?? ''))
    expect(relevant).toEqual([])
  })

  const mysql2 = (range: string | undefined) => range ?? locked['node_modules/mysql2']?.version

  describe.each([
    ['the mysql2 it is developed with', undefined],
    ['the oldest mysql2 it allows', '3.17.3'],
  ])('installed next to %s', (_name, version) => {
    let project: string

    beforeAll(async () => {
      project = join(temporary, `project-${version ?? 'locked'}`)
      await mkdir(project)
      await writeFile(join(project, 'package.json'), JSON.stringify({ name: 'project', private: true }))
      const peers = [`drizzle-orm@${locked['node_modules/drizzle-orm']?.version}`, `mysql2@${mysql2(version)}`]
      await output(
        'npm',
        ['install', '--no-audit', '--no-fund', '--prefer-offline', '--ignore-scripts', tarball, ...peers],
        {
          cwd: project,
        },
      )
      await writeFile(join(project, 'import.mts'), byImport)
      await writeFile(join(project, 'require.cts'), byRequire)
    }, 240_000)

    it('stands next to that very version', async () => {
      const installed = JSON.parse(await readFile(join(project, 'node_modules/mysql2/package.json'), 'utf8'))
      expect(installed.version).toBe(mysql2(version))
    })

    it('type-checks in the strictest mode', async () => {
      const options = ['--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess', '--skipLibCheck']
      const environment = ['--module', 'nodenext', '--target', 'es2023', '--lib', 'es2023,esnext.disposable']
      const types = ['--types', 'node', '--typeRoots', join(folder, 'node_modules/@types'), '--resolveJsonModule']
      const compiler = join(folder, 'node_modules/typescript/bin/tsc')
      const words = [compiler, ...options, ...environment, ...types, 'import.mts', 'require.cts']
      expect(await output(process.execPath, words, { cwd: project })).toBe('')
    })

    const environment = () => ({ ...process.env, DATABASE_URL: `${server?.url}/${database}` })

    it.each(['import.mjs', 'require.cjs'])('runs as %s', async (file) => {
      const printed = await output(process.execPath, [file], { cwd: project, env: environment() })
      expect(JSON.parse(printed)).toEqual(expected)
    })

    it.each(['22', '24'])('runs on Node.js %s', { timeout: 240_000 }, async (major) => {
      const node = ['--yes', '--prefer-offline', '--package', `node@${major}`, '--', 'node']
      expect(await output('npx', [...node, '--version'], { cwd: project })).toMatch(`v${major}.`)
      for (const file of ['import.mjs', 'require.cjs']) {
        const printed = await output('npx', [...node, file], { cwd: project, env: environment() })
        expect(JSON.parse(printed)).toEqual(expected)
      }
    })
  })
})
