/**
 * A file of the user's into ComfyUI's input folder, as a loader of core's would put it; throws where it is not taken.
 * @type {(api: {fetchApi: (path: string, options?: RequestInit) => Promise<Response>}, file: File, subfolder?: string) => Promise<import("./upstream.js").FileName>}
 */
export async function upload(api, file, subfolder = "") {
  const body = new FormData();
  body.append("image", file, file.name || "pasted.png");
  if (subfolder) body.append("subfolder", subfolder);
  const answer = await api.fetchApi("/upload/image", { method: "POST", body });
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
  const { name, subfolder: folder = "", type = "input" } = await answer.json();
  return { filename: name, subfolder: folder, type };
}

/** The value by which a loader's widget means it. @type {(file: import("./upstream.js").FileName) => string} */
export const loaderValue = ({ filename, subfolder }) => (subfolder ? `${subfolder}/${filename}` : filename);
