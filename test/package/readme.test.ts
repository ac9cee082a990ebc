import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { onEveryServer } from '../support/every-server.js'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))

onEveryServer('the quick start of the README', (context) => {
  it('type-checks, runs, and says what a reader expects', async () => {
    const readme = await readFile(join(root, 'README.md'), 'utf8')
    const program = /<!-- quick start.*?```ts\n(.*?)```/s.exec(readme)?.[1]
    expect(program).toBeDefined()
    // Inside the project, where the package finds itself by its name.
    const folder = await mkdtemp(join(root, 'test/package/quick-start-'))
    try {
      const file = join(folder, 'program.ts')
      await writeFile(file, program ?? '')
      await run(
        'npx',
        [
          'tsc',
          '--ignoreConfig',
          '--noEmit',
          '--strict',
          '--skipLibCheck',
          '--target',
          'es2023',
          '--module',
          'nodenext',
          '--types',
          'node',
          file,
        ],
        { cwd: root },
      )
      const { stdout } = await run('npx', ['tsx', file], {
        cwd: root,
        env: { ...process.env, DATABASE_URL: context.url },
      })
      expect(
        stdout
          .replace(/\d{16}/, '<token>')
          .trim()
          .split('\n'),
      ).toEqual(['fencing token <token>', 'working', 'paid, closed', '{ EUR: 1.08 }', '1000', 'R-1'])
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})
