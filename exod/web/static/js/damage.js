// What cannot be read is said in a sentence with what helps, at a server and at a site of files.

import { mode } from "./site.js";

/** An error whose text is for readers. */
export class SiteError extends Error {}

/** The error for a file of the site that is not as it was written. */
export function damaged(path, why) {
  const file = path.replace(/\?.*$/, "");
  return new SiteError(mode === "server"
    ? `${file} of these pages cannot be read (${why}); run \`exod verify\` on the archive, which lists what to do.`
    : `${file} of this site cannot be read (${why}); publish the site again, with \`exod publish --replace\`.`);
}

/** What `read` gives of a file. */
export async function readable(path, read) {
  try {
    return await read();
  } catch (error) {
    throw error instanceof SiteError ? error : damaged(path, error.message);
  }
}

/** What `read` gives, asked for once; what failed is asked for again. */
export function once(answers, id, read) {
  if (!answers.has(id)) {
    const answer = read();
    answer.catch(() => answers.delete(id));
    answers.set(id, answer);
  }
  return answers.get(id);
}
