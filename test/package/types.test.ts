import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'

const folder = fileURLToPath(new URL('../..', import.meta.url))

/** What the compiler has to say about the type tests; nothing when all is well. */
async function complaints(compiler: string, ...options: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [
      `node_modules/${compiler}/bin/tsc`,
      '--noEmit',
      '--ignoreConfig',
      '--strict',
      ...['--module', 'nodenext'],
      ...['--target', 'es2023'],
      ...['--lib', 'es2024,esnext.disposable'],
      ...['--types', 'node'],
      '--skipLibCheck',
      ...options,
      'test/package/types.test-d.ts',
    ],
    { cwd: folder },
  ).catch((error: { stdout: string }) => error)
  return stdout
}

describe('the types', () => {
  it.each(['true', 'false'])('are those of go-go-scope with exactOptionalPropertyTypes %s', async (exact) => {
    expect(await complaints('typescript', '--exactOptionalPropertyTypes', exact)).toBe('')
  })

  it('are those of go-go-scope for the next compiler', async () => {
    expect(await complaints('typescript-7', '--exactOptionalPropertyTypes', 'true')).toBe('')
  })
})
